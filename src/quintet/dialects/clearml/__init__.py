"""The dialect of ClearML: RPC-style JSON for its SDK and agent."""
