"""The whole walk: sample, choose, guide, enlarge, print; and the same again from a picture's recipe."""
