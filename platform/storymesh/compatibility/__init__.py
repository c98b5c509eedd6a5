"""What a change of contracts does to those who read them: against an earlier state of the mesh, or a release"""
