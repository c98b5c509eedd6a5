"""Run the assets of the mesh in this process."""
