"""Block-sparse recovery, measured side by side with every peer (`make bench`)."""
