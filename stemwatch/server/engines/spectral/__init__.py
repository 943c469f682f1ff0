"""The built-in separation: stereo and time-frequency cues, a tiny network, masks. Preview quality.

Read in this order: `stft`, `bands`, `percussive`, `repetition`, `cues`, `network`, `masks`,
`headroom`, `stream`. Everything works on arrays; files are the business
of `separation`.
"""
