"""The reference device client: a local database that follows the sync protocol."""
