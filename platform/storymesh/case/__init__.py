"""From the rows of several products to cases with links, outcomes and precedents: ibis in, ibis out."""
