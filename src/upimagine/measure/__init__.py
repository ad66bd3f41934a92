"""How good pictures are, in numbers: distances to the truth and to sets, diversity, sharpness, spectra, faces."""
