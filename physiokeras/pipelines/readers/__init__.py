"""Recordings of any format: headers checked against their files, samples, annotations, clocks."""
