"""Environments, and rollouts in them."""
