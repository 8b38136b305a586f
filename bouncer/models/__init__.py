"""The tables: `main` for the installation, `tenant` for a person's own file; two metadatas that never mix."""
