"""A recording as pictures: which moments are shown, how their events are drawn and coloured, what files they become."""
