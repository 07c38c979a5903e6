"""What a curious party could do with what it receives, played on real runs: the figures of docs/threat-model.md."""
