"""Made-up catalogues, with all the dirt of a real one, and the truth about them.

Nothing here prepares a catalogue: the truth must not share code with the preparation that it judges.
"""
