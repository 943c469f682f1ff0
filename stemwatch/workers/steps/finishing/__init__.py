"""What makes a song's folder of bare stems: names, tags, measures, a stem file."""
