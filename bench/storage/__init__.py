"""Shared storage: a folder or fsspec URL that the nodes of a cluster and the driver all reach."""
