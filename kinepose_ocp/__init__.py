"""Joint angles of a whole motion from 3D keypoints, as one optimal control problem."""
