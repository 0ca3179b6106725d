"""Videos of episodes: rendered off-screen, with what the policy sees and does drawn in."""
