"""The effects of a change of contracts on those who read them: against an earlier state of the mesh, or a release"""
