"""Every mutant, by what it breaks."""

from mutations.catalogue import attention, caches, contracts, dialects, numbers, precision, sizes

MUTANTS = (
    *numbers.MUTANTS,
    *attention.MUTANTS,
    *sizes.MUTANTS,
    *contracts.MUTANTS,
    *caches.MUTANTS,
    *dialects.MUTANTS,
    *precision.MUTANTS,
)
