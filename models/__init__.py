"""Chain and layout files that ship with kinepose_ocp."""
