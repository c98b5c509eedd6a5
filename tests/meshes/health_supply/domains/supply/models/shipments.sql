-- Weight and freight are numbers or words. The words say where the number is, and 'See ASN-93 (ID#:1281)' on which line.
select
    line_id,
    project_code,
    po_number,
    asn,
    country,
    managed_by,
    case fulfil_text when 'Direct Drop' then 'direct_drop' when 'From RDC' then 'rdc' else fulfil_text end as fulfil_via,
    nullif(inco_text, 'N/A - From RDC') as inco_term,
    replace(lower(nullif(mode_text, 'N/A')), ' ', '_') as shipment_mode,
    quoted_on,
    ordered_on,
    planned_on,
    delivered_on,
    recorded_on,
    product_group,
    sub_classification,
    vendor,
    item,
    molecule,
    brand,
    dosage,
    dosage_form,
    pack_size,
    packs,
    line_value_usd,
    pack_price_usd,
    unit_price_usd,
    manufacturing_site,
    first_line,
    try_cast(weight_text as bigint) as weight_kg,
    case
        when try_cast(weight_text as bigint) is not null then 'here'
        when weight_text like 'See %' then 'other_line'
        when weight_text = 'Weight Captured Separately' then 'apart'
    end as weight_stated,
    try_cast(freight_text as decimal(12, 2)) as freight_usd,
    case
        when try_cast(freight_text as decimal(12, 2)) is not null then 'here'
        when freight_text like 'See %' then 'other_line'
        when freight_text = 'Freight Included in Commodity Cost' then 'in_price'
        when freight_text = 'Invoiced Separately' then 'apart'
    end as freight_stated,
    try_cast(regexp_extract(weight_text, 'ID#:(\d+)', 1) as bigint) as stated_on_line,
    insurance_usd
from {{ ref('stg_shipments') }}
