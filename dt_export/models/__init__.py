"""The eager references: PyTorch modules that read like the papers."""
