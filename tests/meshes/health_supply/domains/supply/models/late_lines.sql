-- A lane by sea has two ends, as far as the file knows them: the country of the site of manufacture, where the goods
-- came straight from the vendor, and the country of destination. What lies between is not in the file.
select
    shipments.line_id,
    shipments.country,
    shipments.planned_on,
    (shipments.planned_on + 1)::date as late_since,
    shipments.delivered_on,
    (shipments.delivered_on - shipments.planned_on)::bigint as days_late,
    shipments.shipment_mode,
    case
        when shipments.shipment_mode = 'ocean' and shipments.fulfil_via = 'direct_drop' then site_words.port_country
    end as lane_from,
    case when shipments.shipment_mode = 'ocean' then countries.port_country end as lane_to
from {{ ref('shipments') }} as shipments
left join read_csv('sources/countries.csv', header = true, all_varchar = true) as countries
    on shipments.country = countries.country
left join read_csv('sources/site_words.csv', header = true, all_varchar = true) as site_words
    on upper(regexp_extract(shipments.manufacturing_site, '([A-Za-z]+)[.) ]*$', 1)) = site_words.last_word
where shipments.delivered_on > shipments.planned_on
