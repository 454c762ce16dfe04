"""A simulated room with a person in it: bodies, actions, camera, picture and pixels of the simulated camera."""
