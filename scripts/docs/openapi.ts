import { stringify } from 'yaml';
import { openapi, ROUTES } from '../../device/dashboard/index.ts';

/** OpenAPI 3.1 of the control API, as the device itself serves it. */
export const openapiDocument = (): string =>
  stringify(openapi(ROUTES), { aliasDuplicateObjects: false, lineWidth: 0 });
