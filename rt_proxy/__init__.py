"""rt-proxy: a self-hosted gateway for the Realtime voice API, and the library under it."""
