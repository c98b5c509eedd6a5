"""The effects of contract changes on readers, compared with an earlier state of the mesh or a release"""
