"""What the console knows: immutable snapshots, the reducer that moves them on, and text rules."""
