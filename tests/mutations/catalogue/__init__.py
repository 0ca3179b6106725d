"""Every mutant, by what it breaks."""

from mutations.catalogue import attention, numbers

MUTANTS = (*numbers.MUTANTS, *attention.MUTANTS)
