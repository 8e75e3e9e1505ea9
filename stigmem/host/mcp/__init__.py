"""The node as a memory for models, over the Model Context Protocol: tools, the server, and whose node it is.

The protocol itself is the official SDK's, an extra: `pip install stigmem-trio[mcp]`. Only `server` imports it.
"""
