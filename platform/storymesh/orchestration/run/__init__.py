"""A run of the mesh's assets in this process: its events, its outcome and its execution."""
