"""Pictures of blocks, and reports of whole searches."""
