"""What a trial measures: extractors, Fréchet distance, denoising error, loss stability, throughput.

Nothing is imported here; each module is imported by its name when it is needed.
"""
