"""How well the agent finds what it looks for: on recordings of real vehicles, and on thousands of simulated scenes."""
