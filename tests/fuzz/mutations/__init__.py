"""Ways to damage an input, one idea a file. Each takes a random.Random, so that a seed says all."""
