"""Every dialect once more, in plain NumPy float64, written from the description of the originals.

An oracle shares no code with ``dt_export``: it is the second opinion the loaders are held against.
One module per dialect, each with the same four names:

- ``Options``: the sizes and switches of one model; the defaults are tiny,
- ``state_dict(rng, options)``: random weights under the original's own names, buffers included,
- ``forward(weights, options, **inputs)``: what the original's forward returns, row by row,
- ``save(path, weights, options)``: the original's own files below the directory ``path``; returns
  the file that a user would hand to ``--model``.

Inputs of ``forward``: ``states`` [B, T, S] normalised, ``actions`` [B, T, A], ``returns_to_go``
[B, T, 1] scaled, ``timesteps`` [B, T] and ``attention_mask`` [B, T], zero on the left padding.
(Atari: ``states`` uint8 [B, T, 4, 84, 84], ``actions`` [B, T].) Each row is computed on its own
without its padding, so the oracle also says what padding must not change.
"""
