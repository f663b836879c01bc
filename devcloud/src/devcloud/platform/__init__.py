"""What every Azure subscription has beside the services: identities and a key vault."""
