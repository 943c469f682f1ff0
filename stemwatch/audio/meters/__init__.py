"""What a stem measures: loudness, true peak, how much of it sounds, a waveform to draw."""
