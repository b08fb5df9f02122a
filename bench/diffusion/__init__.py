"""Preconditionings, sigma grids, samplers and the linear-Gaussian reference. No backbone in it."""
