export { applyProvision, type Applied, type ApplyOptions } from './apply.ts';
export { defaultHostName, filesOf, type PlannedFile } from './files.ts';
export { FILE_NAMES, readProvision, type Provision, type ProvisionPlan } from './plan.ts';
