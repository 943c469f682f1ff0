"""Tempo and key of a song, heard block by block as it is decoded.

analyser = Analyser()
for block in decode(path):
    analyser.add(block)
analyser.result()
"""

from stemwatch.server.analysis.analyser import Analyser, Analysis

__all__ = ["Analyser", "Analysis"]
