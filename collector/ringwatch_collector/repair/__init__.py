"""What runbooks do outside of the nodes: scheduler, site scripts, tickets, chat, proof. Decides nothing."""
