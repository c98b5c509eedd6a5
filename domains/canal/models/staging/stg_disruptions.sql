-- The register of disruptions is kept by hand: exact duplicates and loose spelling go here.
select distinct
    upper(trim(ref)) as disruption_id,
    {{ name_code('waterway') }} as waterway,
    {{ local_to_utc('from_local', 'zone') }} as started_at,
    {{ local_to_utc('to_local', 'zone') }} as ended_at,
    {{ name_code('kind') }} as kind,
    {{ name_code('severity') }} as severity,
    cast(nullif(trim(capacity_percent), '') as bigint) as transit_capacity_percent,
    trim(title) as title,
    trim(citation_title) as citation_title,
    trim(citation_url) as citation_url,
    trim(citation_publisher) as citation_publisher,
    {{ local_to_utc('cited_local', 'zone') }} as cited_at
from read_csv('sources/disruptions.csv', header = true, all_varchar = true)
