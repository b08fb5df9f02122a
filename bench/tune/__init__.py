"""Sampling choices of a trained model, searched without training: `bench tune`."""
