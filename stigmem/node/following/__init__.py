"""How callers of this node hear of facts as they are stored: open streams of events."""
