"""Where problems come from: reasoning-gym, files, the hub; disjoint splits; resumable streams."""
