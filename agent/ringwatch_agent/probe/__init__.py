"""Proves a node under load: arithmetic, memory, copies, links, storage. Torch is loaded only to measure."""
