"""From thousands of pictures to the few worth enlarging: scores, ranking, diversity and the contact sheet."""
